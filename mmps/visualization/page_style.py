"""Style sheet of the results page; it lies in the page itself, which needs nothing but images."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #f6f7f9; --card: #ffffff; --ink: #1c2128; --soft: #667080; --line: #e1e5ea;
  --right: #15803d; --wrong: #c81e1e; --query: #2563eb; --bar: #2563eb26;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12151a; --card: #1b2027; --ink: #e6e9ee; --soft: #98a2b0; --line: #2d343e;
    --right: #4ade80; --wrong: #f87171; --query: #7aa7ff; --bar: #7aa7ff33;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 72rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.2rem; }
p { margin: .4rem 0; }
.soft { color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; }
img { display: block; max-width: 100%; height: auto; border-radius: .35rem; }
figure { margin: 0; }

.metrics { max-width: 44rem; overflow-x: auto; padding: .4rem 1.1rem .6rem; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .6rem; border-top: 1px solid var(--line); text-align: right; }
thead th { border-top: 0; color: var(--soft); font-weight: 600; }
th:first-child { padding-left: 0; text-align: left; font-weight: 500; }
td.share {
  background: linear-gradient(to right, var(--bar) var(--share), transparent var(--share))
    no-repeat right center / calc(100% - 1.5rem) 66%;
}
td.first { font-weight: 650; }

.curves {
  display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr));
}
.curves figure { padding: .9rem 1rem .6rem; }
.curves figcaption { margin-bottom: .4rem; font-weight: 600; }

.key { display: flex; flex-wrap: wrap; gap: .35rem 1.25rem; margin: .5rem 0 1rem; padding: 0; }
.key li { display: flex; align-items: center; gap: .45rem; list-style: none; }
.key i { width: 1.1rem; height: 1.1rem; border: 3px solid; border-radius: .15rem; }
.key .query { border-color: #2563eb; }
.key .found { border-color: #d97706; }
.key .right { border-color: #16a34a; }
.key .wrong { border-color: #dc2626; }
.key .truth { border: 2px dashed #d9a900; }

.search { margin-bottom: 1rem; padding: .9rem 1rem 1rem; }
.search h3 { margin: 0 0 .6rem; font-size: 1rem; }
.search h3 span { margin-left: .6rem; color: var(--soft); font-size: .9rem; font-weight: 400; }
.row { display: grid; gap: .75rem; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); }
.row img + img, .is-query a { margin-top: .5rem; }
.is-query a { display: block; }
figcaption b { font-variant-numeric: tabular-nums; }
.search figcaption { margin-top: .35rem; font-size: .85rem; line-height: 1.35; }
.search figcaption small { display: block; overflow-wrap: anywhere; color: var(--soft); }
.is-right b { color: var(--right); }
.is-wrong b { color: var(--wrong); }
.is-query b { color: var(--query); }

@media (max-width: 44rem) {
  body { padding: 1.25rem .75rem 3rem; }
  .row { gap: .6rem; grid-template-columns: repeat(3, minmax(0, 1fr)); }
  .is-query {
    display: grid; gap: 0 .6rem; grid-column: 1 / -1; grid-template-columns: 1fr 2fr;
    padding-bottom: .6rem; border-bottom: 1px solid var(--line);
  }
  .is-query a { margin: 0; }
  .is-query figcaption { grid-column: 1 / -1; }
  th, td { padding: .4rem .3rem; }
}
"""
