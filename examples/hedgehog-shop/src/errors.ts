import { ConvexError } from "convex/values";

const SIGN_IN: Record<string, string> = {
  InvalidCredentials: "That e-mail and password do not belong together. If you are new, sign up.",
  InvalidEmail: "That is no e-mail address.",
  InvalidPassword: "A password has 8 characters or more.",
  TooManyFailedAttempts: "Too many attempts. Come back in an hour.",
};

/** What went wrong, for the person before the screen. */
export function sentence(error: unknown): string {
  if (error instanceof ConvexError) {
    const data = error.data as { code?: string; message?: string } | string;
    if (typeof data === "string") return data;
    return SIGN_IN[data.code ?? ""] ?? data.message ?? "That did not work.";
  }
  return "That did not work. Nothing was changed; try again.";
}
