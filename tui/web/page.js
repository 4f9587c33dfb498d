// Keys are the app's from the first: xterm's box takes the focus once the app has written something.
addEventListener("load", () => {
  const observer = new MutationObserver(() => {
    if (!document.body.classList.contains("-first-byte")) return;
    document.querySelector(".xterm-helper-textarea")?.focus();
    observer.disconnect();
  });
  observer.observe(document.body, { attributeFilter: ["class"] });
});
