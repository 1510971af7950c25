"""Reads a secret that was made on the command line."""

import os

import modal

app = modal.App("named-secret")


@app.function(secrets=[modal.Secret.from_name("e2e-named")])
def read_secret():
    return os.environ["E2E_KEY"]


@app.local_entrypoint()
def main():
    print("RESULT", read_secret.remote())
