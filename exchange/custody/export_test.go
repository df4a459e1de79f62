package custody

// Deal is what draws wallets.
var Deal = deal
