// unfold draws controls that only a mouse reaches and icons that are read out as words. This gives them a role, a name,
// the keyboard and a way back; landmarks and a link past the sidebar too. What each control does stays unfold's.
(() => {
  "use strict";

  // By what unfold lets a click do: its name where it has only an icon, and what it opens.
  const CONTROLS = [
    { does: "sidebarDesktopOpen", name: "Sidebar" },
    { does: "sidebarMobileOpen", name: "Menu", opens: "#nav-sidebar", insideName: "Close the menu" },
    { does: "openUserLinks", opens: "nav" },
    { does: "openTheme", name: "Appearance", opens: "nav" },
    { does: "filterOpen", opens: "#changelist-filter" },
    { does: "navigationOpen", opens: "ol" },
    { does: "showActions", name: "More actions", opens: "nav" },
    { does: "openRelatedWidgetWrapper", name: "More about this field", opens: "nav" },
  ];
  // What lies over the page while it is open; the sidebar only where there is no room beside the page.
  const PASSING = ["openUserLinks", "openTheme", "filterOpen", "showActions", "openRelatedWidgetWrapper", "sidebarMobileOpen"];
  const CLICKABLE = "[x-on\\:click]";
  const NATIVE = "button, a[href], input, select, textarea, label, summary";

  const what = (element) => CONTROLS.find(({ does }) => element.dataset.reached.includes(does));

  // What a control opens: by its id, or beside it.
  const panel = (control) => {
    const opens = what(control)?.opens;
    if (!opens || !isShown(control)) return null;
    if (!opens.startsWith("#")) return beside(control.parentElement, opens) ?? beside(control.parentElement.parentElement, opens);
    const opened = document.querySelector(opens);
    return opened?.contains(control) ? null : opened;
  };
  const beside = (parent, kind) => parent.querySelector(`:scope > ${kind}`);
  const isShown = (element) => Boolean(element?.checkVisibility());
  const controls = () => [...document.querySelectorAll("[data-reached]")];

  const reach = () => {
    for (const element of document.querySelectorAll(`${CLICKABLE}:not([data-reached])`)) {
      // The ground behind a panel: Escape does the same.
      if (element.id === "changelist-filter-close") continue;
      element.dataset.reached = element.getAttribute("x-on:click");
      if (element.matches("h2")) within(element);
      else if (!element.matches(NATIVE)) asButton(element);
      const about = what(element);
      const label = about?.insideName && element.closest(about.opens) ? about.insideName : about?.name;
      if (label) element.setAttribute("aria-label", label);
    }
    for (const icon of document.querySelectorAll(".material-symbols-outlined:not([aria-hidden], [data-reached])")) {
      icon.setAttribute("aria-hidden", "true");
    }
    name("button#searchbar-submit", "Search");
    name("input#searchbar", "Search this list");
    name("#nav-sidebar [role=region]", "Pages");
    name("#content [role=region].simplebar-content-wrapper", "List");
    name("nav#nav-sidebar-inner", "Pages of the portal");
    // Django's hints beside lists of choices are named and have no role.
    for (const hint of document.querySelectorAll(".help-tooltip[aria-label]")) hint.setAttribute("role", "img");
    for (const link of document.querySelectorAll("#nav-sidebar-apps a.active")) link.setAttribute("aria-current", "page");
    tell();
  };
  const asButton = (element) => {
    element.setAttribute("role", "button");
    element.tabIndex = 0;
  };
  // A heading stays one: what is in it becomes the button, and a click on that is a click on the heading.
  const within = (heading) => {
    const inner = document.createElement("span");
    inner.className = "flex grow items-center";
    inner.append(...heading.childNodes);
    inner.dataset.reached = heading.dataset.reached;
    heading.dataset.reached = "";
    heading.append(inner);
    asButton(inner);
  };
  const name = (selector, text) => {
    for (const element of document.querySelectorAll(selector)) element.setAttribute("aria-label", text);
  };

  // Whether what a control opens is open, and which of several is chosen.
  const tell = () => {
    for (const control of controls()) {
      const opened = panel(control);
      if (opened) control.setAttribute("aria-expanded", String(isShown(opened)));
      const theme = /(?:switchTheme\(|adminTheme = )'(\w+)'/.exec(control.dataset.reached);
      if (theme) control.setAttribute("aria-pressed", String(control.classList.contains("text-primary-600")));
    }
  };
  // After Alpine has drawn what changed; what it closes fades first.
  const FADED = 300; // milliseconds
  const soon = (act) => requestAnimationFrame(() => setTimeout(act, 0));

  // --- landmarks ---

  const place = () => {
    const main = document.getElementById("main") ?? document.getElementById("page");
    main?.setAttribute("role", "main");
    const content = document.getElementById("content");
    if (!content) return;
    content.tabIndex = -1;
    const skip = document.createElement("a");
    skip.className = "zhv-skip";
    skip.href = "#content";
    skip.textContent = "Skip to the content";
    document.body.prepend(skip);
  };

  // --- the keyboard ---

  let opener = null;

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return leave();
    if (event.key !== "Enter" && event.key !== " ") return;
    const control = event.target.closest("[data-reached][role=button]");
    if (control !== event.target) return;
    event.preventDefault();
    enter(control);
  });

  const enter = (control) => {
    const opened = panel(control);
    const wasOpen = isShown(opened);
    control.click();
    if (!opened || wasOpen || !PASSING.includes(what(control).does)) return;
    opener = control;
    soon(() => first(opened)?.focus());
  };
  const first = (area) =>
    [...area.querySelectorAll("a[href], button, input:not([type=hidden]), select, [data-reached]")].find(isShown);

  // Escape closes what is open, and the focus goes back to what opened it.
  const leave = () => {
    const open = controls().filter((control) => PASSING.includes(what(control)?.does) && isShown(panel(control)));
    const last = open.at(-1);
    if (!last) return;
    // The filters close by unfold's own hand; a click would open them once more.
    if (what(last).does !== "filterOpen") last.click();
    const back = opener ?? last;
    opener = null;
    soon(() => back.focus());
    setTimeout(tell, FADED);
  };

  // unfold takes Ctrl+E for its colours; in a text field on a Mac it ends the line, and no key with Ctrl is ours.
  window.addEventListener("keydown", (event) => {
    if (event.key === "e" && (event.ctrlKey || event.metaKey)) event.stopImmediatePropagation();
  }, true);

  document.addEventListener("click", () => {
    soon(tell);
    setTimeout(tell, FADED);
  });
  document.addEventListener("DOMContentLoaded", () => { place(); reach(); });
  // Django's and unfold's own scripts build parts of the page first.
  window.addEventListener("load", () => soon(reach));
  for (const changed of ["zhv:shown", "zhv:counted", "htmx:afterSwap"]) document.addEventListener(changed, reach);
})();
