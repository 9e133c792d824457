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
