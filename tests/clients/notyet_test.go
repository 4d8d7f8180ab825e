package clients

// notYet lists the checks that are known to fail, with what vigil lacks. A check that passes must leave the list, so the
// list is never longer than the truth.
var notYet = map[string]string{}
