import { createContext, useContext } from 'react';
import type { Me, Role } from '../../wire.ts';

export const MeContext = createContext<Me | null>(null);

const RANK: Record<Role, number> = { viewer: 0, approver: 1, operator: 2 };

/** Whether the person may do what this role may. A run in a file takes no orders. */
export function useMay(role: Role): boolean {
  const me = useContext(MeContext);
  return me !== null && me.file === null && RANK[me.role] >= RANK[role];
}
