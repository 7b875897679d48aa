// What came of each refund: the rules of `refunds.py`, gone on with from where the server stopped.

/** Takes the next event into the list of `{amount, state, at}`. True where it was about refunds. */
export function takeRefund(found, { event, data, at }) {
  const settle = (amount, was, state) => {
    const one = found.find((each) => each.amount === amount && each.state === was);
    if (one) Object.assign(one, { state, at });
    return Boolean(one);
  };
  if (event === "refund.requested") found.push({ amount: data.amount, state: "sent", at });
  else if (event === "refund.failed") settle(data.amount, "sent", "failed") || settle(data.amount, "done", "failed");
  else if (event === "refund.changed") balance(found, data.refunded, at, settle);
  else return false;
  return true;
}

function balance(found, refunded, at, settle) {
  let left = refunded - found.reduce((sum, each) => sum + (each.state === "done" ? each.amount : 0), 0);
  if (left < 0) settle(-left, "done", "failed");
  if (left <= 0 || settle(left, "sent", "done")) return;
  for (const each of found) {
    if (each.state !== "sent" || each.amount > left) continue;
    Object.assign(each, { state: "done", at });
    left -= each.amount;
  }
  if (left) found.push({ amount: left, state: "done", at });
}
