interface ImportMetaEnv {
  /** Where the functions are; `pyconvex dev` writes it into .env.local. */
  readonly VITE_CONVEX_URL: string;
  /** The PostHog project's token, phc_…; without one the shop works and nothing is sent. */
  readonly VITE_PUBLIC_POSTHOG_PROJECT_TOKEN?: string;
  readonly VITE_PUBLIC_POSTHOG_HOST?: string;
  /** Set by the demo: every how many seconds the host asks for changed flags. */
  readonly VITE_PUBLIC_FLAGS_EVERY_S?: string;
  /** Set by the demo: where PostHog Local shows what arrived. */
  readonly VITE_PUBLIC_POSTHOG_LOCAL_URL?: string;
}

interface ImportMeta {
  readonly env: ImportMetaEnv;
}
