"use strict";
// Lays the page's <main> out as slides, one deck a language: each block goes on the slide where it fits, else on the next one.

const main = document.querySelector("main"), root = document.documentElement;
// Open: Chinese; the style hides the other language. A lesson that stopped has no switch.
const language = document.querySelector("details.language") ?? document.createElement("details");
const chosen = () => (language.open ? "zh" : "en");
const decks = {};
const SMALLER = 22; // pixels of the letters, of 26, of a slide that takes in the last block below its heading
const SMALLEST = 15; // of a slide whose one block is too large

// ---- blocks: what is put on slides, in order -------------------------------------------------------------------------

// The blocks of one language: headings, paragraphs, lists, equations, code, figures, answers.
function blocks(element, code) {
  if (element.matches(`.${code === "en" ? "zh" : "en"}, .language`)) return [];
  if (element.matches("main, .markdown, div:not(:has(> pre))")) return [...element.children].flatMap((child) => blocks(child, code));
  if (element.matches("details") && element.querySelector("pre")) return [named(element.querySelector("summary"))];
  return [element.cloneNode(true)];
}

// The name of folded code of the engine, as a line: a slide shows the short version.
function named(summary) {
  const line = document.createElement("p");
  line.className = "live";
  line.append(...[...summary.childNodes].map((node) => node.cloneNode(true)));
  return line;
}

// What a block that is too high for a slide is divided into: the items of a list, the rest of an opened answer.
function pieces(block) {
  if (block.matches("ul, ol")) {
    return [...block.children].map((item, k) => {
      const list = block.cloneNode(false);
      if (block.matches("ol")) list.start = (block.start || 1) + k;
      list.append(item.cloneNode(true));
      return list;
    });
  }
  if (!block.matches("details")) return [block];
  const title = document.createElement("strong");
  title.className = "paragraph";
  title.append(...block.querySelector("summary").childNodes);
  return [title, ...[...block.children].slice(1).map((child) => child.cloneNode(true))];
}

// ---- slides ----------------------------------------------------------------------------------------------------------

function newSlide(deck, heading, part) {
  const slide = document.createElement("section");
  slide.className = "slide";
  slide.dataset.part = part; // headings and figures up to here, which both languages have in common
  slide.innerHTML = '<div class="parts"><div class="words"></div></div>';
  if (heading) slide.prepend(heading.cloneNode(true));
  deck.append(slide);
  return slide;
}

const isHeading = (block) => block.matches("h1, h2");
const isEmpty = (slide) => !slide.querySelector(".words > *, img");

// Whether all that a slide shows lies inside it, beside the picture and above the lower edge.
function fits(slide) {
  const edge = slide.getBoundingClientRect(), words = slide.querySelector(".words"), column = words.getBoundingClientRect();
  const inside = (element, right) => {
    const box = element.getBoundingClientRect();
    return box.width === 0 || (box.right <= right + 1 && box.bottom <= edge.bottom - 40);
  };
  return [...words.querySelectorAll("*")].every((e) => inside(e, column.right)) &&
    [...slide.querySelectorAll("h1, h2, img")].every((e) => inside(e, edge.right - 40));
}

// The style gives words and picture a column each, and a picture without words the whole slide.
function arrange(slide) {
  slide.classList.toggle("pictured", !!slide.querySelector("img"));
  slide.classList.toggle("alone", !slide.querySelector(".words > *"));
}

// Put a block on a slide; says whether it fits there. An answer must fit when it is open.
function put(slide, block) {
  const picture = block.matches("img");
  if (picture && slide.querySelector("img")) return false;
  slide.querySelector(picture ? ".parts" : ".words").append(block);
  arrange(slide);
  slide.querySelectorAll("details").forEach((answer) => { answer.open = true; });
  const fit = fits(slide);
  slide.querySelectorAll("details").forEach((answer) => { answer.open = false; });
  return fit;
}

// Put a block on a slide in smaller letters; says whether it fits.
function squeeze(slide, block, least) {
  const before = slide.style.fontSize;
  for (let size = (parseInt(before, 10) || 26) - 1; size >= least; size--) {
    slide.style.fontSize = `${size}px`;
    if (put(slide, block)) return true;
  }
  slide.style.fontSize = before;
  return false;
}

// The last paragraph of a slide if it announces what comes next, and is not all that the slide has.
function announcing(slide) {
  const last = slide.querySelector(".words > .paragraph:last-child:not(:first-child)");
  return last && /[:：]$/.test(last.textContent.trim()) ? last : null;
}

function takeBack(slide, block) {
  block.remove();
  arrange(slide);
}

// The slides of one language.
function lay(code) {
  const deck = document.createElement("div");
  deck.className = `deck measured ${code}`;
  deck.lang = code;
  document.body.append(deck);
  let slide = null, heading = null, part = 0;

  function place(block, last) {
    if (put(slide, block)) return;
    if ((last || block.matches(".live")) && squeeze(slide, block, SMALLER)) return;
    takeBack(slide, block);
    if (!isEmpty(slide)) {
      const picture = slide.querySelector("img"); // stays beside the text that goes on
      const first = announcing(slide);
      slide = newSlide(deck, heading, part);
      if (first) put(slide, first);
      if (picture && !block.matches("img") && put(slide, picture.cloneNode(true)) && put(slide, block)) return;
      slide.querySelector("img")?.remove();
      if (put(slide, block)) return;
    }
    takeBack(slide, block);
    const parts = pieces(block);
    if (parts.length > 1) parts.forEach((one) => place(one, false));
    else if (!squeeze(slide, block, SMALLEST)) slide.style.fontSize = `${SMALLEST}px`;
  }

  const all = blocks(main, code);
  for (const [k, block] of all.entries()) {
    const heads = isHeading(block);
    if (heads || block.matches("img")) part++;
    if (heads) {
      heading = block;
      slide = newSlide(deck, heading, part);
    } else {
      slide ??= newSlide(deck, heading, part);
      place(block, k + 1 === all.length || isHeading(all[k + 1]));
    }
  }
  deck.classList.remove("measured");
  return deck;
}

// ---- showing them ----------------------------------------------------------------------------------------------------

const slides = () => [...decks[chosen()].children];
const shown = () => slides().findIndex((slide) => slide.matches(".shown"));

function show(index) {
  const all = slides(), at = Math.max(0, Math.min(index, all.length - 1));
  document.querySelectorAll(".slide.shown").forEach((slide) => slide.classList.remove("shown"));
  all[at].classList.add("shown");
  document.querySelector("#place").textContent = `${at + 1} / ${all.length}`;
  history.replaceState(null, "", `#${at + 1}`);
}

const answers = () => [...slides()[shown()].querySelectorAll("details")];

function on() {
  const closed = answers().find((answer) => !answer.open);
  if (closed) closed.open = true;
  else show(shown() + 1);
}

const back = () => show(shown() - 1);

const KEYS = {
  ArrowRight: on, ArrowDown: on, PageDown: on, " ": on, ArrowLeft: back, ArrowUp: back, PageUp: back,
  Home: () => show(0), End: () => show(slides().length - 1),
  a: () => answers().forEach((answer) => { answer.open = !answer.open; }),
  l: () => { language.open = !language.open; },
};

function scale() {
  document.body.style.setProperty("--scale", Math.min(innerWidth / 1280, innerHeight / 720));
}

addEventListener("load", () => {
  const first = language.open;
  language.className = "language";
  document.body.prepend(language); // out of <main>, which goes
  root.classList.add("laid");
  for (const code of ["en", "zh"]) {
    language.open = code === "zh";
    decks[code] = lay(code);
  }
  language.open = first;
  main.remove();
  scale();
  show((parseInt(location.hash.slice(1), 10) || 1) - 1);
  language.addEventListener("toggle", () => { // the same place in the other language
    const before = document.querySelector(".slide.shown"), part = Number(before.dataset.part);
    if (!slides().includes(before)) show(slides().findIndex((slide) => Number(slide.dataset.part) >= part));
  });
  document.querySelector("#back").onclick = back;
  document.querySelector("#on").onclick = on;
  addEventListener("resize", scale);
  addEventListener("hashchange", () => show(parseInt(location.hash.slice(1), 10) - 1));
  addEventListener("keydown", (event) => {
    const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  });
  addEventListener("beforeprint", () => document.querySelectorAll(".slide details").forEach((e) => { e.open = true; }));
  addEventListener("afterprint", () => document.querySelectorAll(".slide details").forEach((e) => { e.open = false; }));
  root.dataset.ready = "yes";
});
