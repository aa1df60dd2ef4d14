// Theme, links out of the frame, filters, and a poll that replaces the part of the page that changes.
"use strict";

const outer = window.parent === window ? null : window.parent;

function outerDocument() {
  // Another host that shows the page in a frame is kept out by the headers; this only avoids an error.
  try {
    return outer && outer.document;
  } catch {
    return null;
  }
}

function followTheme() {
  const page = outerDocument();
  if (!page) return;
  const apply = () => {
    const isDark = page.documentElement.classList.contains("dark");
    document.documentElement.classList.toggle("dark", isDark);
    document.documentElement.classList.toggle("light", !isDark);
  };
  apply();
  new MutationObserver(apply).observe(page.documentElement, { attributes: true, attributeFilter: ["class"] });
}

function localTimes() {
  for (const time of document.querySelectorAll("time:not([title])")) {
    time.title = time.textContent;
    time.textContent = new Date(time.dateTime).toLocaleString();
  }
}

// The frame may neither open windows nor leave itself: Airflow's own page does both.
function openLink(event) {
  const link = event.target.closest("a.outside, a.inside");
  const page = outerDocument();
  if (!link || !page) return;
  event.preventDefault();
  if (link.classList.contains("outside")) {
    outer.open(link.href, "_blank", "noopener");
    return;
  }
  const copy = page.createElement("a");
  copy.href = link.href;
  page.body.append(copy);
  copy.click();
  copy.remove();
}

function changeFilter(event) {
  const select = event.target.closest("select");
  if (!select) return;
  if ("goto" in select.dataset) location.assign(select.value);
  else if (select.form) select.form.submit();
}

async function refresh() {
  const state = document.getElementById("state");
  if (!document.hidden) {
    try {
      const response = await fetch(`${location.pathname}/state${location.search}`, { redirect: "error" });
      const text = await response.text();
      if (response.ok) {
        if (state.dataset.shown !== text) state.innerHTML = text;
        state.dataset.shown = text;
        localTimes();
      } else {
        const problem = new DOMParser().parseFromString(text, "text/html").querySelector(".notice");
        showProblem(problem ? problem.textContent : `Airflow responded with status ${response.status}.`);
      }
    } catch {
      showProblem("Airflow does not respond; this page keeps trying.");
    }
  }
  schedule();
}

function showProblem(text) {
  let notice = document.getElementById("problem");
  if (!notice) {
    notice = document.createElement("p");
    notice.id = "problem";
    notice.className = "notice";
    document.getElementById("state").prepend(notice);
  }
  notice.textContent = text;
  delete document.getElementById("state").dataset.shown;
}

function schedule() {
  const part = document.querySelector("#state [data-poll]");
  setTimeout(refresh, part ? Number(part.dataset.poll) : 5000);
}

followTheme();
localTimes();
document.addEventListener("click", openLink);
document.addEventListener("change", changeFilter);
if (document.getElementById("state")) schedule();
