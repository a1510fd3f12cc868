// A real OpenID Connect provider on the loopback, for tests: anybody signs in by naming their address.
// node provider.mjs PORT REDIRECT_URI
import http from "node:http";
import { Provider } from "oidc-provider";

const [port, redirect] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;

const people = new Map();
const account = (id) => ({
  accountId: id,
  claims: () => ({ sub: id, ...(people.get(id) ?? {}) }),
});

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "tenfold",
      client_secret: "a-secret-of-the-test",
      redirect_uris: [redirect],
      post_logout_redirect_uris: [new URL(redirect).origin],
    },
    { client_id: "other", client_secret: "another-secret", redirect_uris: [redirect] },
  ],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => account(id),
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ["test"] },
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({
      clientId: ctx.oidc.client.clientId,
      accountId: ctx.oidc.session.accountId,
    });
    grant.addOIDCScope("openid email profile");
    await grant.save();
    return grant;
  },
});

// The login page: /interaction/<uid>?email=...&verified=...&name=... answers it at once.
const answer = provider.callback();
const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, issuer);
  if (!url.pathname.startsWith("/interaction/")) return answer(request, response);
  const email = url.searchParams.get("email");
  people.set(email, {
    email,
    email_verified: url.searchParams.get("verified") !== "false",
    name: url.searchParams.get("name") ?? email,
  });
  return provider.interactionFinished(request, response, { login: { accountId: email } });
});
server.listen(Number(port), "127.0.0.1", () => console.log("ready"));
