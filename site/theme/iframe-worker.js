// Search in pages opened from the disk. Browsers start no worker from file://, so here its script runs in a hidden frame.
if (location.protocol === "file:")
  window.Worker = class {
    #frame = document.createElement("iframe")
    #waiting = [] // messages to a script that is not yet loaded
    constructor(url) {
      this.#frame.hidden = true
      this.#frame.srcdoc = `<script src="${url}"></script>`
      this.#frame.onload = () => {
        this.#frame.contentWindow.postMessage = (data) => setTimeout(() => this.onmessage?.({ data }))
        const waiting = this.#waiting
        this.#waiting = null
        waiting.forEach((data) => this.postMessage(data))
      }
      document.body.append(this.#frame)
    }
    postMessage(data) {
      if (this.#waiting) this.#waiting.push(data)
      else this.#frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }))
    }
    terminate() {
      this.#frame.remove()
    }
  }
