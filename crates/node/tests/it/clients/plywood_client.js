// plywood against a server that has the table `t` (see mod.rs): introspection, then expressions as native queries and as SQL.
// Usage: plywood_client.js HOST:PORT, with NODE_PATH at the packages.
const assert = require("assert");
const { External, ply, $ } = require("plywood");
const { druidRequesterFactory } = require("plywood-druid-requester");

const requester = druidRequesterFactory({ host: process.argv[2] });
const collect = async (external, expression, name) =>
  (await expression.compute({ [name]: external })).toJS().data;

async function main() {
  for (const engine of ["druid", "druidsql"]) {
    const external = await External.fromJS({ engine, source: "t", timeAttribute: "__time", allowSelectQueries: true,
      context: { timeout: 30000 } }, requester).introspect();
    const types = Object.fromEntries(external.attributes.map(a => [a.name, a.type]));
    assert.strictEqual(types.__time, "TIME", JSON.stringify(types));
    assert.strictEqual(types.lang, "STRING");
    assert.strictEqual(types.added, "NUMBER");
    const all = $("t").filter($("__time").in({ start: new Date("2024-01-01"), end: new Date("2024-02-01") }));
    const totals = await collect(external, ply().apply("t", all).apply("n", $("t").count()).apply("sum", $("t").sum("$added")), "t");
    assert.strictEqual(totals[0].n, 1000, engine);
    assert.strictEqual(totals[0].sum, 499500, engine);
    const split = all.split("$lang", "Lang").apply("n", $("t").count()).sort("$n", "descending").limit(2);
    const langs = await collect(external, split, "t");
    assert.strictEqual(langs.length, 2);
    assert.deepStrictEqual([langs[0].Lang, langs[0].n, langs[1].n], ["en", 334, 333], engine);
    const days = await collect(external, all.filter($("lang").is("de")).split($("__time").timeBucket("P1D", "Etc/UTC"), "Day")
      .apply("n", $("t").count()).sort("$Day", "ascending"), "t");
    assert.deepStrictEqual(days.map(d => [d.Day.start.toISOString().slice(0, 10), d.n]), [["2024-01-02", 333]], engine);
    console.log("passed", engine);
  }
  console.log("2 parts passed");
}
main().catch(error => { console.error(error); process.exit(1); });
