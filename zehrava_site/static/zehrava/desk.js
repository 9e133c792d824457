// Time left, the raw JSON key, forms that are sent once, and a page that follows what happens to its intent.
// Everything works without it; nothing here decides anything.
(() => {
  "use strict";

  // --- time left, by the server's clock ---

  const skew = () => {
    const now = document.querySelector("[data-server-now]");
    return now ? Date.parse(now.dataset.serverNow) - loadedAt : 0;
  };
  let loadedAt = Date.now();

  const left = (seconds) => {
    if (seconds <= 0) return "time is up";
    const d = Math.floor(seconds / 86400), h = Math.floor(seconds / 3600) % 24, m = Math.floor(seconds / 60) % 60;
    if (d) return `${d} d ${h} h left`;
    if (h) return `${h} h ${m} min left`;
    if (m >= 10) return `${m} min left`;
    if (m) return `${m} min ${seconds % 60} s left`;
    return `${seconds} s left`;
  };

  const tick = () => {
    const offset = skew();
    for (const clock of document.querySelectorAll("time[data-left]")) {
      const seconds = Math.floor((Date.parse(clock.dateTime) - (Date.now() + offset)) / 1000);
      const text = left(seconds);
      if (clock.textContent !== text) clock.textContent = text;
      clock.classList.toggle("is-hot", seconds < 600);
    }
  };

  // --- whether the whole payload was in sight: the form says so once its end was, above the bar with the buttons ---

  let watch;
  const watchEnd = () => {
    watch?.disconnect();
    const fields = document.querySelectorAll("input[data-seen]");
    if (!fields.length || !("IntersectionObserver" in window)) return;
    const bar = document.querySelector(".zhv-act")?.offsetHeight ?? 0;
    watch = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      for (const field of fields) field.value = "yes";
      watch.disconnect();
    }, { rootMargin: `0px 0px -${bar}px 0px` });
    for (const end of document.querySelectorAll("[data-payload-end]")) watch.observe(end);
  };

  // --- times in the reader's zone ---

  const MOMENT = {
    day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
  };
  const localise = () => {
    for (const time of document.querySelectorAll("time[data-local]")) {
      // What is on record stays at hand.
      time.title = time.title || time.textContent;
      const seconds = time.dataset.local === "seconds" ? { second: "2-digit" } : {};
      time.textContent = new Date(time.dateTime).toLocaleString(undefined, { ...MOMENT, ...seconds });
      time.removeAttribute("data-local");
    }
    // The lists of the admin write times as text, all in one form; see zehrava_site/formats.
    for (const cell of document.querySelectorAll("#result_list td:not([data-told]), .readonly:not([data-told])")) {
      cell.setAttribute("data-told", "");
      const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const found = /^\s*(\d{1,2} [A-Z][a-z]{2} \d{4}), (\d{2}:\d{2}) UTC\s*$/.exec(node.data);
        if (!found || node.parentElement.closest("bdi")) continue;
        cell.title = cell.title || node.data.trim();
        node.data = new Date(`${found[1]} ${found[2]} UTC`).toLocaleString(undefined, MOMENT);
      }
    }
    for (const clock of document.querySelectorAll("time[data-left]:not([data-told])")) {
      clock.title += ` · ${new Date(clock.dateTime).toLocaleString()} where you are`;
      clock.setAttribute("data-told", "");
    }
    for (const time of document.querySelectorAll("time[data-here]")) {
      time.title = time.textContent;
      time.textContent = new Date(time.dateTime).toLocaleTimeString();
      time.removeAttribute("data-here");
    }
  };

  // --- a form is sent once ---

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("form[data-once]")) return;
    if (form.hasAttribute("data-sent")) {
      event.preventDefault();
      return;
    }
    // After this turn: a disabled button's name and value would not be sent.
    setTimeout(() => form.setAttribute("data-sent", ""), 0);
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) form.removeAttribute("data-sent");
  });

  // --- of those that are alike: choose all, and say how many are chosen ---

  const boxes = () => [...document.querySelectorAll("input[name=chosen]")];
  const count = () => {
    const all = boxes();
    const chosen = all.filter((box) => box.checked).length;
    for (const button of document.querySelectorAll(".zhv-act button[name=vote]")) {
      if (!all.length) return;
      button.dataset.plain ??= button.textContent;
      button.textContent = chosen ? `${button.dataset.plain.split(" ")[0]} ${chosen}` : button.dataset.plain;
    }
  };
  document.addEventListener("change", (event) => { if (event.target.matches("input[name=chosen]")) count(); });
  document.addEventListener("click", (event) => {
    const all = event.target.closest("[data-choose-all]");
    if (!all) return;
    const wanted = boxes().some((box) => !box.checked);
    for (const box of boxes()) box.checked = wanted;
    count();
  });
  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-choose-all]")) button.hidden = false;
    count();
  });

  // --- what changed by itself is said aloud, to whoever has the page read out ---

  const say = (text) => {
    let aloud = document.getElementById("zhv-aloud");
    if (!aloud) {
      aloud = document.createElement("div");
      aloud.id = "zhv-aloud";
      aloud.className = "zhv-unseen";
      aloud.setAttribute("role", "status");
      document.body.append(aloud);
    }
    // A region is read when it changes, and not when it comes into the page with its words.
    setTimeout(() => { aloud.textContent = text; }, 100);
  };
  document.addEventListener("zhv:say", (event) => say(event.detail));

  // --- x shows the raw JSON ---

  document.addEventListener("keydown", (event) => {
    if (event.key !== "x" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    const raw = document.getElementById("zhv-raw");
    if (!raw) return;
    raw.open = !raw.open;
    if (raw.open) raw.scrollIntoView({ block: "nearest" });
  });

  // --- before and after: what the target said comes into the page by itself ---

  const panel = () => document.getElementById("zhv-before");
  const isPanel = (event) => event.detail.target?.id === "zhv-before";
  const unread = () => {
    const told = document.createElement("p");
    told.setAttribute("role", "status");
    told.textContent = "It could not be read: the portal did not answer, or you are signed out. You can decide without it.";
    panel()?.replaceChildren(told);
  };
  document.addEventListener("htmx:load", () => localise());
  document.addEventListener("htmx:beforeSwap", (event) => {
    // Whoever was signed out meanwhile is answered with the page to sign in.
    if (!isPanel(event) || event.detail.serverResponse.includes('id="zhv-compared"')) return;
    event.detail.shouldSwap = false;
    unread();
  });
  document.addEventListener("htmx:sendError", (event) => { if (isPanel(event)) unread(); });

  // --- the figures below the queue come when somebody gets there ---

  const isFigures = (event) => event.detail.target?.id === "zhv-figures";
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (isFigures(event) && !event.detail.serverResponse.includes('id="h-goes"')) event.detail.shouldSwap = false;
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (!isFigures(event)) return;
    // unfold draws what has its class when a page opens, which may be now.
    for (const canvas of document.querySelectorAll("canvas.zhv-later")) {
      if (Chart.getChart(canvas)) continue;
      const { type, value, options } = canvas.dataset;
      new Chart(canvas, { type, data: JSON.parse(value), options: JSON.parse(options) });
    }
  });

  // The page was drawn anew: what was read stays while it is about the same payload, else it is read again.
  const keepRead = (before) => {
    const fresh = panel();
    if (before && before.dataset.digest === fresh?.dataset.digest) fresh.replaceWith(before);
  };

  // --- the page follows its intent ---

  const typed = () => [...document.querySelectorAll("#zhv-live textarea")].some((field) => field.value.trim());

  const follow = async () => {
    const live = document.getElementById("zhv-live");
    if (!live || live.dataset.final === "yes") return;
    try {
      const answer = await fetch(live.dataset.follow, { headers: { Accept: "application/json" } });
      if (answer.ok) {
        const { revision } = await answer.json();
        if (revision !== live.dataset.revision) await refresh(live);
      }
    } catch {
      // The portal is away for a moment: ask again later.
    }
    const now = document.getElementById("zhv-live");
    if (now && now.dataset.final !== "yes") setTimeout(follow, document.hidden ? 10000 : 2000);
  };

  const refresh = async (live) => {
    if (typed()) {
      // Nothing that was typed is lost: say so and let the person choose.
      document.getElementById("zhv-moved")?.removeAttribute("hidden");
      return;
    }
    const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("zhv-live");
    if (!fresh) return;
    const open = document.getElementById("zhv-raw")?.open;
    const read = panel();
    const status = (page) => page.querySelector("#zhv-status")?.textContent;
    loadedAt = Date.now();
    if (status(fresh) !== status(live)) say(`Now: ${status(fresh)}.`);
    live.replaceWith(fresh);
    keepRead(read);
    // What the page fetches for itself it fetches anew.
    window.htmx?.process(fresh);
    const raw = document.getElementById("zhv-raw");
    if (raw) raw.open = Boolean(open);
    localise();
    tick();
    watchEnd();
  };

  // The desk put fresh cards in place of the old ones.
  document.addEventListener("zhv:shown", () => {
    loadedAt = Date.now();
    localise();
    tick();
  });

  document.addEventListener("DOMContentLoaded", () => {
    loadedAt = Date.now();
    tick();
    localise();
    watchEnd();
    setInterval(tick, 1000);
    if (document.getElementById("zhv-live")) setTimeout(follow, 2000);
  });
})();
