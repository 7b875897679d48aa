// The page of a forced refresh fills by itself: it is fetched anew, and only the rows that have changed are put in.
const PAUSE = 400; // ms

const OURS = "#login-form, meta[name=generator][content=Ordercast]"; // the admin's log-in, a page that says no

const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE));
const isOver = () => document.getElementById("oc-run").dataset.isOver === "true";

function takeOver(fresh) {
  for (const row of fresh.querySelectorAll("[id^='oc-item-']")) {
    const here = document.getElementById(row.id);
    // Rows that stand as they are keep the focus, and a screen reader hears nothing of them.
    if (here.innerHTML !== row.innerHTML) here.replaceWith(document.adoptNode(row));
  }
  // The same element speaks each time, or nothing would be heard of it.
  const says = (page) => page.querySelector("#oc-how-far [role=status]");
  if (says(document).textContent !== says(fresh).textContent) says(document).textContent = says(fresh).textContent;
  document.querySelector("#oc-how-far progress").value = fresh.querySelector("#oc-how-far progress").value;
  const offer = document.getElementById("oc-slow");
  const offered = fresh.getElementById("oc-slow");
  if (!offer.children.length !== !offered.children.length) offer.replaceWith(document.adoptNode(offered));
  document.getElementById("oc-run").dataset.isOver = fresh.getElementById("oc-run").dataset.isOver;
}

while (!isOver()) {
  await pause();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.ok && fresh.getElementById("oc-run")) takeOver(fresh);
    // Logged out, or no longer allowed. Anything else may be a proxy's word while the server is restarted.
    else if ((answer.redirected ? answer.ok : answer.status < 500) && fresh.querySelector(OURS)) location.reload();
  } catch {
    // The server or the network is away for a moment: the next round asks again.
  }
}
