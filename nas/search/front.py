# SPDX-License-Identifier: Apache-2.0
"""Writes a Pareto front: CSV, JSON, PNG, a page to explore, and each network's architecture."""

from __future__ import annotations

import csv
import html
import io
import json
import os
from typing import Any

from nas.png import png
from nas.search.study import Evaluated
from nas.space.any_space import Searchable
from nas.space.describe import describe
from tflm_vit.files import write_atomic

COLUMNS = (
    "trial", "accuracy", "latency_ms", "sram_bytes", "flash_bytes", "params", "macs", "network",
)  # fmt: skip


def rows_of(space: Searchable, found: list[Evaluated]) -> list[dict[str, Any]]:
    """One row per network."""
    return [
        {
            "trial": f.number,
            "accuracy": f.accuracy,
            "latency_ms": f.latency_ms,
            **{name: f.cost[name] for name in COLUMNS[3:7]},
            "network": describe(space, f.config),
        }
        for f in found
    ]


def write_front(
    directory: str, space: Searchable, front: list[Evaluated], every: list[Evaluated], title: str
) -> list[str]:
    """Writes front.csv, front.json, front.png, front.html and front_N.json (`ArchConfig`).

    Returns:
      The names, in that order.
    """
    rows = rows_of(space, front)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    data = [
        {**row, "config": f.config.to_dict(), "cost": f.cost}
        for row, f in zip(rows, front, strict=True)
    ]
    names = ["front.csv", "front.json", "front.png", "front.html"]

    def path(name: str) -> str:
        return os.path.join(directory, name)

    _write_text(path("front.csv"), text.getvalue())
    _write_text(
        path("front.json"), json.dumps({"space": space.name, "front": data}, indent=2) + "\n"
    )
    _png(path("front.png"), front, every, title)
    _write_text(path("front.html"), page(rows, rows_of(space, every), title))
    for i, f in enumerate(front):
        names.append(f"front_{i}.json")
        space.arch(f.config).replace(name=f"{space.name}_{f.number}").save(path(names[-1]))
    return names


def _write_text(path: str, text: str) -> None:
    write_atomic(path, text.encode())


def _png(path: str, front: list[Evaluated], every: list[Evaluated], title: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    axes.scatter(
        [f.latency_ms for f in every], [100 * f.accuracy for f in every], s=10, color="0.7",
        label="evaluated",
    )  # fmt: skip
    axes.step(
        [f.latency_ms for f in front], [100 * f.accuracy for f in front], where="post",
        marker="o", color="C0", label="Pareto front",
    )  # fmt: skip
    axes.set_xlabel("latency, ms (estimate)")
    axes.set_ylabel("accuracy with the supernet's weights, %")
    axes.set_title(title)
    axes.legend()
    figure.tight_layout()
    write_atomic(path, png(figure, dpi=120))


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>@TITLE@</title>
<style>
body{font:14px sans-serif;margin:2em;max-width:1100px}
svg{border:1px solid #ccc}circle{cursor:pointer}
table{border-collapse:collapse;margin-top:1em}td,th{padding:2px 8px;text-align:right}
td:last-child,th:last-child{text-align:left}th{cursor:pointer;border-bottom:1px solid #888}
tr.on{background:#fe9}
</style>
<h1>@TITLE@</h1>
<p>Blue: Pareto front. Point at a network, or click a column to sort. Latency is an estimate;
no board was timed.</p>
<label>horizontal axis <select id="axis"></select></label>
<p id="about">&nbsp;</p>
<svg id="plot" width="900" height="420"></svg>
<table id="rows"></table>
<script>
const columns=@COLUMNS@, front=@FRONT@, every=@EVERY@, svg=document.getElementById("plot");
const ns="http://www.w3.org/2000/svg", members=new Set(front.map(r=>r.trial));
const titles={latency_ms:"latency_ms (estimate)"}, title=c=>titles[c]||c;
let axis="latency_ms", sorted="latency_ms", up=true, chosen=null;
const choice=document.getElementById("axis");
for(const c of ["latency_ms","sram_bytes","flash_bytes","params","macs"]){
  const o=document.createElement("option");o.value=c;o.textContent=title(c);choice.append(o)}
choice.onchange=()=>{axis=choice.value;draw()};
function add(kind,attributes,text){const e=document.createElementNS(ns,kind);
  for(const a in attributes)e.setAttribute(a,attributes[a]);
  if(text!==undefined)e.textContent=text;svg.append(e);return e}
function about(row){chosen=row.trial;document.getElementById("about").textContent=
  "trial "+row.trial+": "+(100*row.accuracy).toFixed(2)+" %, "+
  row.latency_ms.toFixed(1)+" ms (estimate), "+
  row.sram_bytes+" bytes of SRAM, "+row.flash_bytes+" bytes of flash; "+row.network;table()}
function draw(){svg.replaceChildren();
  const xs=every.map(r=>r[axis]),ys=every.map(r=>100*r.accuracy);
  const x0=Math.min(...xs),x1=Math.max(...xs),y0=Math.min(...ys),y1=Math.max(...ys);
  const px=v=>60+800*(v-x0)/((x1-x0)||1),py=v=>380-350*(v-y0)/((y1-y0)||1);
  for(let i=0;i<=5;i++){const x=x0+i*(x1-x0)/5,y=y0+i*(y1-y0)/5;
    add("text",{x:px(x),y:405,"text-anchor":"middle","font-size":11},x.toPrecision(4));
    add("text",{x:52,y:py(y)+4,"text-anchor":"end","font-size":11},y.toFixed(1)+" %")}
  for(const r of every.filter(r=>!members.has(r.trial)).concat(front)){
    const c=add("circle",{cx:px(r[axis]),cy:py(100*r.accuracy),r:members.has(r.trial)?6:4,
      fill:members.has(r.trial)?"#06c":"#bbb"});
    c.onmouseenter=()=>about(r)}}
function table(){const t=document.getElementById("rows");t.replaceChildren();
  const head=t.insertRow();
  for(const c of columns){const h=document.createElement("th");h.textContent=title(c);
    h.onclick=()=>{up=sorted===c?!up:true;sorted=c;table()};head.append(h)}
  for(const r of [...front].sort((a,b)=>(a[sorted]<b[sorted]?-1:1)*(up?1:-1))){
    const row=t.insertRow();if(r.trial===chosen)row.className="on";
    for(const c of columns)row.insertCell().textContent=
      c==="accuracy"?(100*r[c]).toFixed(2)+" %":c==="latency_ms"?r[c].toFixed(1):r[c]}}
draw();table();
</script></html>
"""


def page(front: list[dict[str, Any]], every: list[dict[str, Any]], title: str) -> str:
    """One file, no network access: a plot with a choice of axis, and a table to sort."""

    def data(value: Any) -> str:
        return json.dumps(value).replace("<", "\\u003c")

    text = _PAGE.replace("@TITLE@", html.escape(title))
    text = text.replace("@COLUMNS@", data(COLUMNS)).replace("@FRONT@", data(front))
    return text.replace("@EVERY@", data(every))
