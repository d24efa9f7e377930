/* Runs before the page is there: what needs the script is shown, what is for browsers without it is not. */
"use strict";
document.documentElement.classList.add("oq-scripted");
