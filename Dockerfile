# The worker as a container, for a Vercel Daemon and every other platform that runs one: docs/clocks.md.
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
RUN npm run build:worker

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev
COPY . .
COPY --from=build /app/dist dist
USER node
# Not npm run worker: npm does not pass SIGTERM on.
CMD ["node", "--enable-source-maps", "dist/worker.js"]
