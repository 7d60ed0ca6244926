/** How the page looks, in the light and in the dark. */
export const STYLE = `
:root { color-scheme: light dark; --paper: #fcfcfa; --ink: #1c2024; --soft: #5d6670; --line: #dfe2e5; --card: #fff;
  --good: #1a7f37; --bad: #c0392b; --good-paper: #e7f5ea; --bad-paper: #fcebe8;
  --c0: #7a828a; --c1: #0072b2; --c2: #d55e00; --c3: #009e73; --c4: #b0479a; --c5: #a67c00; --c6: #56748f; --c7: #7a3e9d; --c8: #8c564b; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181b; --ink: #e6e8ea; --soft: #9aa4ae; --line: #32383e; --card: #1c2024;
  --good: #57c878; --bad: #ff8272; --good-paper: #16301f; --bad-paper: #3a1d1a;
  --c0: #a2abb4; --c1: #56b4e9; --c2: #ff9248; --c3: #2fc79c; --c4: #e38ad0; --c5: #e6c229; --c6: #8fb3d1; --c7: #b98ae0; --c8: #c9998d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 22px; line-height: 1.25; margin: 0 0 4px; font-weight: 650; letter-spacing: -.01em; } h2 { font-size: 16px; line-height: 1.4; margin: 36px 0 6px; font-weight: 650; }
p { margin: 6px 0 12px; max-width: 74ch; } .soft { color: var(--soft); }
.answer { background: var(--card); border: 1px solid var(--line); border-left: 5px solid var(--good); border-radius: 6px; padding: 14px 18px; margin: 20px 0; }
.answer.none { border-left-color: var(--bad); } .answer p { margin: 2px 0; } .answer > p:first-child { font-size: 16px; line-height: 1.45; text-wrap: pretty; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: right; padding: 7px 9px; border-bottom: 1px solid var(--line); white-space: nowrap; vertical-align: top; }
th:first-child, td:first-child { text-align: left; padding-left: 0; } th { font-weight: 600; color: var(--soft); white-space: normal; line-height: 1.3; } td:first-child { white-space: normal; } td small, th small { color: var(--soft); display: block; font-size: .82em; }
.chip { display: inline-block; border-radius: 99px; padding: 0 10px; font-size: .85em; } .passed { color: var(--good); background: var(--good-paper); } .failed { color: var(--bad); background: var(--bad-paper); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); gap: 8px 28px; }
.plots h3 { font-size: 14px; font-weight: 650; margin: 18px 0 0; } .plots p { font-size: 12.5px; margin: 2px 0 6px; }
.plot { width: 100%; height: auto; display: block; font-size: 12.5px; } .plot text { fill: var(--soft); } .plot .label { fill: var(--c); font-weight: 600; paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
.grid { stroke: var(--line); stroke-width: 1; } .range { stroke: var(--line); stroke-width: 3; } .spread { stroke: var(--c); stroke-width: 2; opacity: .5; }
.line { fill: none; stroke: var(--c); stroke-width: 2.2; } .band { fill: var(--c); opacity: .14; } .dot { fill: var(--c); opacity: .9; } .ring { fill: none; stroke: var(--c); stroke-width: 2.5; }
.legend { list-style: none; padding: 0; margin: 8px 0; display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 12.5px; } .legend li { display: flex; align-items: center; gap: 6px; }
.flips { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 235px), 1fr)); gap: 14px; } .flip { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 10px; font-size: 12.5px; }
.flip img { width: 84px; height: 84px; object-fit: contain; image-rendering: pixelated; background: var(--line); border-radius: 4px; float: left; margin: 0 10px 6px 0; }
.flip dl { display: grid; grid-template-columns: auto 1fr; gap: 0 8px; margin: 4px 0 0; clear: both; } .flip dt { color: var(--c, var(--soft)); font-weight: 600; } .flip dd { margin: 0; text-align: right; white-space: nowrap; } .flip .right { color: var(--good); } .flip .wrong { color: var(--bad); }
.flip .name { color: var(--soft); overflow-wrap: anywhere; }
ul.gates { list-style: none; padding: 0; margin: 4px 0 14px; } ul.gates li { margin: 3px 0; } .mark { display: inline-block; width: 1.5em; font-weight: 700; } .yes { color: var(--good); } .no { color: var(--bad); }
details { border-bottom: 1px solid var(--line); padding: 8px 0; } summary { cursor: pointer; font-weight: 600; } details ul { margin: 6px 0; padding-left: 20px; } details dl, .facts { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 8px 0; }
details dt, .facts dt { color: var(--soft); } details dd, .facts dd { margin: 0; overflow-wrap: anywhere; } code { font: .88em ui-monospace, "SF Mono", "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; } pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 12px; white-space: pre-wrap; }
${Array.from({ length: 9 }, (_, index) => `.c${index} { --c: var(--c${index}); }`).join(' ')}
@media (max-width: 560px) { main { padding: 20px 14px 40px; } details dl, .facts { grid-template-columns: 1fr; } details dd, .facts dd { margin-bottom: 6px; } }
`;
