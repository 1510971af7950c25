"""An image with a build step, which this version answers with a clear refusal."""

import modal

app = modal.App("needs-build", image=modal.Image.debian_slim(python_version="3.11").pip_install("requests"))


@app.function()
def run():
    return 1


@app.local_entrypoint()
def main():
    print("RESULT", run.remote())
