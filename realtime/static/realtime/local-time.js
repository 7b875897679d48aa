// Times as their reader writes them, in the reader's own zone.
const page = document.documentElement.lang;
// The page's language in the reader's own manner: en-GB where the page is "en".
const lang = navigator.languages.find((each) => each.split("-")[0] === page.split("-")[0]) ?? page;

export function inLocalTime(time) {
  const at = new Date(time.dateTime);
  const isToday = at.toDateString() === new Date().toDateString();
  const near = isToday ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
  time.textContent = new Intl.DateTimeFormat(lang, near).format(at);
  time.title = new Intl.DateTimeFormat(lang, { dateStyle: "full", timeStyle: "long" }).format(at);
}
