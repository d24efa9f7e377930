/* Runs before htmx. Another htmx may be on the page, as under Unfold: theirs is put back afterwards (workbench.js). */
"use strict";
window.openqueueOther = window.htmx;
