// Keeps the progress up to date without loading the page anew; without it the page loads itself every few seconds.
(function () {
  "use strict";
  var card = document.getElementById("progress");
  var text = document.getElementById("text");
  var pause = 1000;

  function show(told) {
    if (told.done || told.ended) {
      window.location.reload();
      return;
    }
    if (text.textContent !== told.text) text.textContent = told.text;
    told.steps.forEach(function (isDone, index) {
      var step = card.querySelectorAll(".steps li")[index];
      if (!isDone || step.className === "done") return;
      step.className = "done";
      step.querySelector(".mark").textContent = "✓";
      step.querySelector(".state").textContent = "(done)";
    });
    again();
  }

  function again() {
    window.setTimeout(ask, pause);
    pause = Math.min(pause * 1.2, 15000);
  }

  function ask() {
    fetch(card.dataset.progress, { headers: { Accept: "application/json" } })
      .then(function (answer) { return answer.ok || answer.status === 410 ? answer.json() : Promise.reject(); })
      .then(show)
      .catch(again);
  }

  window.setTimeout(ask, pause);
})();
