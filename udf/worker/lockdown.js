// Runs once in a new realm, before any code of a user. It takes away what makes code out of text or outlives a call, and
// freezes everything that two calls could meet in: what one row does, no other row and no other function sees.
(function (roots) {
	"use strict";
	const own = Reflect.ownKeys, describe = Reflect.getOwnPropertyDescriptor, define = Object.defineProperty, freeze = Object.freeze;
	const proto = Object.getPrototypeOf, G = globalThis;
	// harden freezes everything that can be reached from what an aggregate names.
	function harden(roots) {
		const stack = [...roots], seen = new Set();
		while (stack.length) {
			const o = stack.pop();
			if (o === null || typeof o !== "object" && typeof o !== "function" || seen.has(o)) continue;
			seen.add(o);
			const keys = own(o);
			for (let i = 0; i < keys.length; i++) {
				const d = describe(o, keys[i]);
				if ("value" in d) stack.push(d.value);
				else stack.push(d.get, d.set);
			}
			freeze(o);
		}
	}
	const kept = [JSON.stringify, JSON.parse, harden];

	// Function constructors are reachable from every function: f.constructor("code").
	for (const f of [function () {}, function* () {}, async function () {}, async () => {}]) {
		define(proto(f), "constructor", { value: undefined, writable: false, enumerable: false, configurable: true });
	}
	for (const n of ["eval", "Function", "Promise", "GoError", "WeakRef", "FinalizationRegistry", "SharedArrayBuffer", "Atomics"]) {
		delete G[n];
	}

	const seen = new Set(), stack = [G, ...roots, function () {}, function* () {}, (function* () {})(),
		[][Symbol.iterator](), new Map()[Symbol.iterator](), new Set()[Symbol.iterator](), ""[Symbol.iterator](),
		"".matchAll(/x/g), async function () {}];
	while (stack.length) {
		const o = stack.pop();
		if (o === null || typeof o !== "object" && typeof o !== "function" || seen.has(o)) continue;
		seen.add(o);
		stack.push(proto(o));
		const keys = own(o); // iterators cost more than what they walk over
		for (let i = 0; i < keys.length; i++) {
			const d = describe(o, keys[i]);
			if ("value" in d) {
				const v = d.value;
				if (typeof v === "object" || typeof v === "function") stack.push(v);
			} else stack.push(d.get, d.set);
		}
	}

	// An object must be able to have its own toString or name although it inherits a frozen one; assigning to an inherited
	// read-only property throws. An accessor that defines the property on the receiver behaves as people expect.
	function overridable(o, k) {
		const d = describe(o, k);
		if (!d || !("value" in d)) return;
		const v = d.value;
		define(o, k, {
			get() { return v; },
			set(x) {
				if (this === o) throw new TypeError("Cannot assign to read only property '" + k + "'");
				define(this, k, { value: x, writable: true, enumerable: true, configurable: true });
			},
			enumerable: d.enumerable, configurable: false,
		});
		for (const f of [describe(o, k).get, describe(o, k).set]) { seen.add(f); if (f.prototype) seen.add(f.prototype); }
	}
	for (const k of ["toString", "valueOf", "toLocaleString", "hasOwnProperty"]) overridable(Object.prototype, k);
	for (const e of [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError]) {
		for (const k of ["name", "message", "toString"]) overridable(e.prototype, k);
	}

	seen.delete(G);
	for (const o of seen) freeze(o);
	freeze(G);
	return kept;
})
