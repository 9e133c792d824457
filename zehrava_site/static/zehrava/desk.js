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

  // --- times in the reader's zone ---

  const localise = () => {
    for (const time of document.querySelectorAll("time[data-local]")) {
      const date = new Date(time.dateTime);
      time.title = `${time.title || time.dateTime} · ${date.toLocaleString()} where you are`;
      time.removeAttribute("data-local");
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

  // --- x shows the raw JSON ---

  document.addEventListener("keydown", (event) => {
    if (event.key !== "x" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    const raw = document.getElementById("zhv-raw");
    if (!raw) return;
    raw.open = !raw.open;
    if (raw.open) raw.scrollIntoView({ block: "nearest" });
  });

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
    loadedAt = Date.now();
    live.replaceWith(fresh);
    const raw = document.getElementById("zhv-raw");
    if (raw) raw.open = Boolean(open);
    localise();
    tick();
  };

  // The desk put fresh cards in place of the old ones.
  document.addEventListener("zhv:shown", () => {
    loadedAt = Date.now();
    tick();
  });

  document.addEventListener("DOMContentLoaded", () => {
    loadedAt = Date.now();
    tick();
    localise();
    setInterval(tick, 1000);
    if (document.getElementById("zhv-live")) setTimeout(follow, 2000);
  });
})();
