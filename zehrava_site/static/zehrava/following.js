// Open pages that stay true: counts in the sidebar and in the title, the desk's cards, a call when something urgent
// comes; and the keys. Everything works without it, and no key decides anything: it goes to the button at most.
(() => {
  "use strict";

  // Where urls.py puts the admin.
  const HOME = "/admin/";
  const DESK = "zhv-desk";
  const EVERY = 2500, ELSEWHERE = 6000, HIDDEN = 15000; // milliseconds

  // --- what waits ---

  let revision = null;
  let urgent = null;
  const title = document.title;

  const say = (waits) => {
    document.title = waits.mine ? `(${waits.mine}) ${title}` : title;
    tell(waits.mine);
    const fresh = urgent && waits.urgent.filter((id) => !urgent.has(id));
    urgent = new Set(waits.urgent);
    if (!fresh || !fresh.length || !document.hidden) return;
    if (!("Notification" in window) || Notification.permission !== "granted") return;
    // Nothing that an agent wrote: a notification shows text where nobody draws what is hidden in it.
    const note = new Notification("Zehrava", {
      body: fresh.length === 1 ? "An urgent intent waits for you." : `${fresh.length} urgent intents wait for you.`,
      tag: "zehrava-urgent",
    });
    note.onclick = () => { window.focus(); location.assign(HOME); };
  };

  // Said aloud where a page is read out: only what changed, and only once.
  let told = null;
  const tell = (mine) => {
    if (told !== null && told !== mine) document.dispatchEvent(new CustomEvent("zhv:say", { detail: `${mine} wait for you.` }));
    told = mine;
  };

  const follow = async () => {
    const desk = document.getElementById(DESK);
    try {
      const answer = await fetch(`${HOME}follow/`, { headers: { Accept: "application/json" }, redirect: "manual" });
      if (answer.ok) {
        const waits = await answer.json();
        say(waits);
        const shown = desk ? desk.dataset.revision : revision;
        if (shown !== null && shown !== waits.revision) await refresh(desk);
        revision = waits.revision;
      }
    } catch {
      // The portal is away, or nobody is signed in any more: ask again later.
    }
    setTimeout(follow, document.hidden ? HIDDEN : document.getElementById(DESK) ? EVERY : ELSEWHERE);
  };

  const refresh = async (desk) => {
    const answer = await fetch(desk ? location.href : HOME, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const link of document.querySelectorAll("#nav-sidebar-apps a[href]")) {
      const other = fresh.querySelector(`#nav-sidebar-apps a[href="${CSS.escape(link.getAttribute("href"))}"]`);
      if (other && other.textContent !== link.textContent) link.innerHTML = other.innerHTML;
    }
    const now = fresh.getElementById(DESK);
    document.dispatchEvent(new Event("zhv:counted"));
    // Somebody is choosing what to see: nothing is taken from under their hands.
    if (!desk || !now || desk.querySelector(".zhv-sift")?.contains(document.activeElement)) return;
    const chosen = document.activeElement?.closest("[data-intent]")?.dataset.intent;
    desk.replaceWith(now);
    if (chosen) card(chosen)?.focus({ preventScroll: true });
    document.dispatchEvent(new Event("zhv:shown"));
  };

  // --- keys ---

  const cards = () => [...document.querySelectorAll(".zhv-item .zhv-what a")];
  const card = (id) => document.querySelector(`[data-intent="${CSS.escape(id)}"] .zhv-what a`);
  const chosen = () => cards().find((link) => link.closest(".zhv-item").contains(document.activeElement));

  const move = (by) => {
    const all = cards();
    if (!all.length) return;
    const at = all.indexOf(chosen());
    const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))];
    next.focus({ preventScroll: true });
    next.closest(".zhv-item").scrollIntoView({ block: "nearest" });
  };

  // To the part of a page that decides; on the desk, of the card that is chosen.
  const goTo = (what) => {
    const link = chosen();
    if (link) location.assign(`${link.href}#${what}`);
    else arrive(what);
  };
  const arrive = (what) => {
    const act = document.querySelector(".zhv-act");
    if (!act) return;
    if (what === "change") act.querySelector("a[href$='/edit/']")?.click();
    // What has to be typed comes before the button. The page stays where it is: what is decided on is in sight.
    const approve = act.querySelector("#zhv-typed") ?? act.querySelector("button[value=approve]");
    (what === "approve" ? approve : act.querySelector("[name=rationale]"))?.focus({ preventScroll: true });
  };

  const KEYS = {
    j: () => move(1),
    k: () => move(-1),
    o: () => chosen()?.click(),
    a: () => goTo("approve"),
    r: () => goTo("reject"),
    e: () => goTo("change"),
    "?": () => document.getElementById("zhv-help")?.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.repeat && event.key !== "j" && event.key !== "k") return;
    if (event.target.closest("input, textarea, select, dialog, [contenteditable]")) return;
    const act = Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : null;
    if (!act || !document.querySelector(".zhv")) return;
    event.preventDefault();
    act();
  });

  // --- help, and leave to call ---

  document.addEventListener("click", (event) => {
    const help = event.target.closest("#zhv-help");
    if (!help) return;
    if (event.target === help || event.target.closest("[data-close]")) help.close();
    if (event.target.closest("[data-call]")) Notification.requestPermission().then(offer);
  });
  const offer = () => {
    const button = document.querySelector("[data-call]");
    if (button) button.hidden = !("Notification" in window) || Notification.permission !== "default";
  };

  document.addEventListener("DOMContentLoaded", () => {
    offer();
    if (location.hash) arrive(location.hash.slice(1));
    if (document.querySelector("#nav-sidebar-apps")) setTimeout(follow, 1000);
  });
})();
