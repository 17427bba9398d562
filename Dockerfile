# The worker as a container, for a Vercel Daemon and other platforms that run containers: docs/schedulers.md.
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
# Not npm run worker, because npm does not forward SIGTERM.
CMD ["node", "--enable-source-maps", "dist/worker.js"]
