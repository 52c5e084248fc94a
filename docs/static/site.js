// Two landmarks of one kind are told apart by their names.
for (const [part, name] of [[".sidebar-drawer", "Pages"], [".toc-drawer", "On this page"]]) {
  document.querySelector(part)?.setAttribute("aria-label", name);
}
