# The worker as a container, for a Vercel Daemon and every other platform that runs one: docs/clocks.md.
FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev
COPY . .
USER node
# Not npm run worker: npm does not hand SIGTERM on.
CMD ["node", "--import", "tsx", "worker/main.ts"]
