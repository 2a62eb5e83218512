# One image for everything that Proctor runs in containers; the nats-server has its own.
FROM node:20-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json tsconfig.json tsconfig.build.json ./
COPY scripts ./scripts
COPY src ./src
COPY machines ./machines
COPY supervisors ./supervisors
COPY bench ./bench
RUN node scripts/setup.mjs --no-nats && npm prune --omit=dev --ignore-scripts

FROM node:20-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY bin ./bin
COPY scripts ./scripts
COPY examples/pricing.yaml ./examples/pricing.yaml
COPY examples/policies ./examples/policies
COPY examples/workers ./examples/workers
RUN mkdir -m 700 /keys /work && chown node:node /keys /work
USER node
CMD ["node", "bin/proctor.mjs", "up"]
