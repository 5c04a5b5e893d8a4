// The one thing on these pages that needs a script. Buttons are hidden until it runs.
for (const button of document.querySelectorAll('button[data-copy]')) {
  const source = document.getElementById(button.dataset.copy);
  const said = document.querySelector(`[data-copy-said="${button.dataset.copy}"]`);
  button.hidden = false;
  button.addEventListener('click', async () => {
    said.textContent = '';
    try {
      // Without the spaces that only help reading: some password fields count them.
      const text = source.textContent;
      await navigator.clipboard.writeText('copyExact' in button.dataset ? text : text.replace(/\s+/g, ''));
      said.textContent = button.dataset.done;
    } catch {
      getSelection().selectAllChildren(source);
      said.textContent = button.dataset.failed;
    }
  });
}
