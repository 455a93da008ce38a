// Sends the form of a sign-in link as soon as a person's browser shows it.
"use strict";
document.querySelector("form[data-send-now]").requestSubmit();
