// What is wrong with a field is said as soon as it is left; the server says it, as it does when the form is sent, and
// without this script it says it then.
(() => {
  const left = new Set();
  let asked = 0;

  const show = (form, errors) => {
    for (const field of form.elements) {
      if (!left.has(field.name)) continue;
      const id = `zhr-fault-${field.name}`;
      document.getElementById(id)?.remove();
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-describedby");
      const faults = errors[field.name];
      if (!faults) continue;
      const said = document.createElement("p");
      said.id = id;
      said.className = "zhr-reason-error zhr-fault";
      said.setAttribute("role", "status");
      said.textContent = faults.join(" ");
      field.setAttribute("aria-invalid", "true");
      field.setAttribute("aria-describedby", id);
      field.parentElement.append(said);
    }
  };

  document.addEventListener("change", async (event) => {
    const where = document.querySelector("[data-zhr-check]");
    const form = event.target.form;
    if (!where || !form || !event.target.name) return;
    left.add(event.target.name);
    const turn = ++asked;
    try {
      const answer = await fetch(where.dataset.zhrCheck, { method: "POST", body: new FormData(form) });
      if (answer.ok && turn === asked) show(form, (await answer.json()).errors);
    } catch {
      // It is said when the form is sent.
    }
  });
})();
