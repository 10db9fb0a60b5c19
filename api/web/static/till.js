// The till: six digits send themselves, whatever the keyboard puts between them.

const DIGITS = 6;
const field = document.getElementById("code");

field?.addEventListener("input", () => {
  // Thai digits count as digits.
  const plain = field.value.replace(/[๐-๙]/g, (digit) => String(digit.charCodeAt(0) - 0x0e50));
  const digits = plain.replace(/\D/g, "").slice(0, DIGITS);
  if (digits !== field.value) field.value = digits;
  if (digits.length === DIGITS) field.form.requestSubmit();
});
