// The page as an app: on the home screen, and without a network.

/** Keep the page, with `files` that it came to use; `onKept` is called once all is there. */
export async function keepPage(files, onKept) {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return; // browsers have it over HTTPS and on localhost only
  const tell = async () => (await serviceWorker.ready).active.postMessage({ keep: files });
  serviceWorker.addEventListener("message", onKept, { once: true });
  serviceWorker.addEventListener("controllerchange", tell); // a newer export of the page has taken over
  try {
    await serviceWorker.register("service_worker.js");
    await tell();
  } catch (error) {
    console.warn(`The page can't be kept for use without a network: ${error.message}`);
  }
}

/** Show `button` while the browser offers to install the page. */
export function offerInstall(button) {
  let offer;
  addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault();
    offer = event;
    button.hidden = false;
  });
  addEventListener("appinstalled", () => (button.hidden = true));
  button.onclick = () => {
    button.hidden = true;
    offer.prompt();
  };
}
