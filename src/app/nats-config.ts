export { type ServerPlace, writeServerConfigs } from '../adapters/embedded-nats/write-config.ts';
