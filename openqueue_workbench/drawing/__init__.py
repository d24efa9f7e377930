"""What the Workbench draws on the server: charts, the graph of a flow, the waterfall of a run.

Pure: values go in, safe markup comes out. Classes and presentation attributes only, never ``style=``, so that it
stands under a strict Content-Security-Policy; drawing.css holds the colours. What was given is always escaped.
"""
