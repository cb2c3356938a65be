// A control of a lesson shows, of every figure that depends on it, the frame computed for the controls' positions.
document.addEventListener("input", ({ target }) => {
  const control = target.closest(".control")
  if (!control) return
  const words = target.dataset.words
  if (words) control.querySelector("output").value = JSON.parse(words)[target.value]
  for (const box of document.querySelectorAll(".frames")) {
    const names = box.dataset.controls.split(" ")
    const at = names.map((name) => document.querySelector(`.control [name="${name}"]`).value).join()
    if (names.includes(target.name)) for (const frame of box.children) frame.hidden = frame.dataset.at !== at
  }
})
