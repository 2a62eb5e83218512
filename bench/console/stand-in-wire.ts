/** What the process that spends CPU time for others is told; it answers `spending`. */
export interface StandIn {
  cpuMsPerSecond: number;
}
