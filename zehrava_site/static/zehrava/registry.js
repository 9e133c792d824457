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
