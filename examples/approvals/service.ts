// An approval service: small refunds are approved, very large ones denied, and the rest is left to people. With
// `proctor up` running in another terminal:
//   proctor keys new till --out till.nk
//   npx jiti examples/approvals/service.ts till.nk
import { startApprovals } from 'proctor';

const SMALL = 5_000;
const LARGE = 50_000;

const [keyFile = 'till.nk', dir = '.proctor'] = process.argv.slice(2);

const service = await startApprovals({
  dir,
  as: { name: 'till', keyFile },
  decide({ tool, args, given }) {
    if (tool !== 'refund') return null;
    // Somebody proposed other arguments: people settle that among themselves.
    if (given.some((one) => one.args !== undefined)) return null;
    const { amount } = args;
    if (typeof amount !== 'number' || amount <= 0)
      return { verdict: 'deny', why: 'the amount is not a positive number' };
    if (amount > LARGE) return { verdict: 'deny', why: `refunds of more than ${LARGE} are made by the bank` };
    return amount <= SMALL ? { verdict: 'approve', why: `at most ${SMALL}` } : null;
  },
});
process.once('SIGINT', () => void service.stop());
process.once('SIGTERM', () => void service.stop());
process.stdout.write('deciding\n');
