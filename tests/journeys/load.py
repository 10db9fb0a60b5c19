"""A client that posts transfers from several threads and prints each one that was acknowledged: `seq id`."""

from __future__ import annotations

import sys
import threading

import httpx

THREADS = 8


def main(base_url: str, token: str) -> None:
    """Post until the server is gone."""
    printing = threading.Lock()

    def post() -> None:
        body = {"kind": "transfer", "from": "treasury", "to": "shop:sample-som-tam", "amount_minor": 1}
        with httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as http:
            while True:
                try:
                    answer = http.post("/entries", json=body)
                except httpx.TransportError:
                    return
                if answer.status_code == httpx.codes.CREATED:
                    with printing:
                        sys.stdout.write(f"{answer.json()['entry']} {answer.json()['id']}\n")
                        sys.stdout.flush()

    threads = [threading.Thread(target=post) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
