// A receipt's times are its reader's; the rest is paper.
import { inLocalTime } from "./reading.js";

document.querySelectorAll("time").forEach((time) => inLocalTime(time));
const print = document.querySelector("[data-print]");
print.hidden = false;
print.addEventListener("click", () => window.print());
