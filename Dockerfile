# Pin both stages to the digest you tested: FROM node:24-slim@sha256:…
# scripts/replay-dockerfile runs these steps without a container engine; it takes relative paths in RUN only.
FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/copy-assets.mjs scripts/
COPY src src/
RUN npm run build
# Again without what only building needs. The optional packages are TypeScript for i18n tools and the like.
RUN npm ci --omit=dev --omit=optional && mkdir state

FROM node:24-slim
WORKDIR /app
ENV NODE_ENV=production NODE_OPTIONS= SALLYPORT_CONFIG=/etc/sallyport/sallyport.yaml
COPY --from=build /build/node_modules node_modules/
COPY --from=build /build/dist dist/
COPY package.json LICENSE ./
COPY bin bin/
COPY --from=build --chown=1000:1000 /build/state /var/lib/sallyport
COPY --from=build --chown=1000:1000 /build/state /var/lib/sallyport-keys
USER 1000:1000
EXPOSE 993 465 8443
STOPSIGNAL SIGTERM
# Needs `metrics` as in config/sallyport.example.yaml.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["node", "-e", "fetch('http://127.0.0.1:9464/livez').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# S-42: no debugger on a signal, no environment in a report.
ENTRYPOINT ["node", "--disable-sigusr1", "--report-exclude-env", "bin/sallyport.js"]
CMD ["serve"]
