/**
 * Who may import what. Each folder has one rule: what it may import; everything else is a fault.
 * `npm run architecture` applies them (test/architecture.test.ts).
 */

const { builtinModules } = require('node:module');

const NODE = `^(?:node:)?(?:${builtinModules.join('|')})$`;
const packages = (...names) => names.map((name) => `^node_modules/${name}/`);

const only = (name, from, allowed, comment) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from },
  to: { pathNot: allowed },
});

module.exports = {
  forbidden: [
    only('machines', '^machines/', ['^machines/', '^src/core/', ...packages('xstate')], 'pure state charts'),
    only('supervisors', '^supervisors/', ['^supervisors/', '^src/core/', ...packages('xstate')], 'pure OTP semantics'),
    only('core', '^src/core/', ['^src/core/', ...packages('zod')], 'the innermost vocabulary'),
    only('policy', '^src/policy/', ['^src/policy/', '^src/core/', ...packages('zod')], 'pure decisions'),
    only('ports', '^src/ports/', ['^src/ports/', '^src/core/'], 'interfaces'),
    only(
      'runtime',
      '^src/runtime/',
      [
        '^src/(?:runtime|core|ports|policy)/',
        '^machines/',
        '^supervisors/',
        ...packages('xstate', 'lru-cache', 'zod', '@opentelemetry/api'),
      ],
      'knows ports, no vendor',
    ),
    only(
      'adapters',
      '^src/adapters/([^/]+)/',
      ['^src/adapters/$1/', '^src/core/', '^src/ports/', '^node_modules/', NODE],
      'one folder a vendor, never importing each other',
    ),
    {
      name: 'adapters-vendor',
      comment: 'state machines are not a vendor: adapters do not know them',
      severity: 'error',
      from: { path: '^src/adapters/', pathNot: '^src/adapters/(?:xstate|inspect)[^/]*/' },
      to: { path: packages('xstate') },
    },
    only(
      'worker',
      '^src/worker/',
      ['^src/worker/', '^src/core/', '^src/ports/', ...packages('zod', '@opentelemetry/api'), NODE],
      'the tool SDK',
    ),
    only(
      'client',
      '^src/client/',
      ['^src/client/', '^src/core/', '^src/ports/', ...packages('zod', '@opentelemetry/api'), NODE],
      'the client',
    ),
    only(
      'console',
      '^src/console/[^/]+\\.ts$',
      ['^src/console/[^/]+\\.ts$', '^src/core/', '^src/client/'],
      'what gateway and page say to each other',
    ),
    only(
      'console-gateway',
      '^src/console/gateway/',
      [
        '^src/console/(?:gateway/|[^/]+\\.ts$)',
        '^src/(?:core|client|ports)/',
        '^machines/',
        // It folds journals as nodes do, and writes none.
        '^src/runtime/(?:decision-trace|extract-chart|fold|journal)\\.ts$',
        // It lists what waits as approvers do, and signs nothing.
        '^src/worker/open-approvals\\.ts$',
        ...packages('hono', '@hono/node-server', 'elkjs', 'xstate', 'zod'),
        NODE,
      ],
      'the HTTP server of the console',
    ),
    only(
      'cli',
      '^src/cli/',
      ['^src/cli/', '^src/app(?:/|\\.ts$)', '^src/core/', '^src/client/', '^node_modules/', NODE],
      'commands',
    ),
    {
      name: 'nothing-imports-cli',
      severity: 'error',
      from: { pathNot: '^src/cli/' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'only-app-joins',
      comment: 'src/app.ts is where adapters meet the rest; the public API re-exports',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/app(?:/|\\.ts$)', '^src/(?:index|testing)\\.ts$', '^src/adapters/'] },
      to: { path: '^src/adapters/' },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'no-development-packages',
      comment: 'what runs in production is a dependency, not a devDependency',
      severity: 'error',
      from: { path: '^(?:src|machines|supervisors)/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
    },
  ],
  options: {
    // The TypeScript compiler of this project has no JavaScript API; without swc nothing would be read at all.
    parser: 'swc',
    tsPreCompilationDeps: true,
    // Its parser reads no JSX: the imports of the page are checked by test/architecture.test.ts itself.
    exclude: { path: '^src/console/page/' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
