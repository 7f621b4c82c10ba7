// Keeps the page for use without a network. While there is one, everything comes from there.

const PAGE = { version: "", files: [], later: [] }; // the export fills it
const OWN = `pocketvision ${self.registration.scope} `;
const NAME = OWN + PAGE.version;
const ALL = new Set([...PAGE.files, ...PAGE.later].map((name) => new URL(name, self.registration.scope).pathname));
// They let the page share memory between threads.
const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

self.oninstall = (event) => event.waitUntil(keep(PAGE.files).then(() => self.skipWaiting()));

self.onactivate = (event) => event.waitUntil(forgetOthers().then(() => self.clients.claim()));

/** The page tells what it used besides. */
self.onmessage = (event) =>
  event.waitUntil(keep(event.data.keep).then(() => event.source.postMessage({ kept: PAGE.version })));

self.onfetch = (event) => {
  const { method, url } = event.request;
  if (method === "GET" && ALL.has(new URL(url).pathname)) event.respondWith(answer(event.request));
};

async function keep(names) {
  const cache = await caches.open(NAME);
  await cache.addAll(names.map((name) => new Request(name, { cache: "no-cache" })));
}

/** Of earlier exports to this address; other pages keep theirs. */
async function forgetOthers() {
  const names = (await caches.keys()).filter((name) => name.startsWith(OWN) && name !== NAME);
  await Promise.all(names.map((name) => caches.delete(name)));
}

async function answer(request) {
  try {
    return isolated(await fetch(request));
  } catch (error) {
    const kept = await (await caches.open(NAME)).match(request, { ignoreSearch: true });
    if (!kept) throw error;
    return isolated(kept);
  }
}

function isolated(response) {
  if (response.status === 0) return response; // a redirection, for the browser to follow
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
