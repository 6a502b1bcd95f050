// What an order is, and what is wrong with one that is not.

import * as z from 'zod';

const Item = z.strictObject({
  sku: z.string().regex(/^[A-Z]{3}-[0-9]{4}$/, 'is not three letters, a hyphen and four digits'),
  quantity: z.int().min(1).max(1000),
  price: z.number().nonnegative(),
});

const Order = z.strictObject({
  number: z.int().positive(),
  customer: z.email(),
  items: z.array(Item).min(1, 'is empty').max(100),
});

/** An order that keeps to the schema. */
export type Order = z.infer<typeof Order>;

/** The order, or the list of what is wrong with it, each with its place. */
export function check(value: unknown): { order: Order } | { problems: string[] } {
  const { success, data, error } = Order.safeParse(value);
  if (success) return { order: data };
  return { problems: error.issues.map(({ path, message }) => `${place(path)}: ${message}`) };
}

/** `items[0].sku` of `['items', 0, 'sku']`. */
function place(path: readonly PropertyKey[]): string {
  const text = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  return text.replace(/^\./, '') || 'order';
}

/** What the order costs, in cents: a sum of floating-point numbers drifts. */
export function total(order: Order): number {
  return order.items.reduce((sum, { quantity, price }) => sum + quantity * Math.round(price * 100), 0);
}
