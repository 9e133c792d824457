// The Copy button beside a secret; without this script the text can still be selected with one click.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-zhr-copy]");
  if (!button) return;
  const source = document.querySelector(button.dataset.zhrCopy);
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    window.getSelection().selectAllChildren(source);
    button.textContent = "Selected: press Ctrl+C";
  }
});

// A document that is too large is told before it is sent: the portal would refuse it, and the typed text would be gone.
document.addEventListener("input", (event) => {
  const area = event.target.closest("[data-zhr-bytes]");
  if (!area) return;
  const most = Number(area.dataset.zhrBytes);
  // No character takes more than three bytes for each of its units: counting is needed for long texts only.
  const size = area.value.length * 3 > most ? new Blob([area.value]).size : 0;
  area.setCustomValidity(size > most ? `The document is longer than ${most / 1024} KiB; split it.` : "");
  if (size > most) area.reportValidity();
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[type=submit][form]");
  const area = button && button.form && button.form.querySelector("[data-zhr-bytes]");
  if (area && !area.checkValidity() && area.validity.customError) {
    event.preventDefault();
    area.reportValidity();
  }
});

// Line numbers beside a document, and the way from a finding to its line; the server says the lines, and without this
// script everything can still be typed and read.
const LINES_MOST = 20000;
const number = (area) => {
  const gutter = area.previousElementSibling;
  const count = Math.min(area.value.split("\n").length, LINES_MOST);
  if (Number(gutter.dataset.count) !== count) {
    gutter.firstChild.textContent = Array.from({ length: count }, (_, n) => n + 1).join("\n");
    gutter.dataset.count = count;
  }
};
const follow = (area) => {
  area.previousElementSibling.firstChild.style.transform = `translateY(${-area.scrollTop}px)`;
};
const goTo = (area, line) => {
  const lines = area.value.split("\n");
  if (line < 1 || line > lines.length) return;
  const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
  area.focus({ preventScroll: true });
  area.setSelectionRange(start, start + lines[line - 1].length);
  const height = parseFloat(getComputedStyle(area).lineHeight);
  area.scrollTop = Math.max(0, (line - 1) * height - area.clientHeight / 2);
  area.scrollLeft = 0;
  // Where the area is taller than the window, its line may still be out of sight.
  const at = area.getBoundingClientRect().top + (line - 1) * height - area.scrollTop;
  if (at < 80 || at > window.innerHeight - 120) window.scrollBy({ top: at - window.innerHeight / 3 });
};
document.addEventListener("DOMContentLoaded", () => {
  for (const area of document.querySelectorAll("textarea[data-zhr-lines]")) {
    const editor = document.createElement("div");
    editor.className = "zhr-editor";
    const gutter = document.createElement("div");
    gutter.className = "zhr-gutter";
    gutter.setAttribute("aria-hidden", "true");
    gutter.append(document.createElement("pre"));
    area.replaceWith(editor);
    editor.append(gutter, area);
    number(area);
    area.addEventListener("input", () => number(area));
    area.addEventListener("scroll", () => follow(area), { passive: true });
  }
});
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#line-"]');
  const area = link && document.querySelector("textarea[data-zhr-lines]");
  if (!area) return;
  event.preventDefault();
  goTo(area, Number(link.hash.slice("#line-".length)));
});
