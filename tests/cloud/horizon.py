#!/usr/bin/env python3
"""horizon.py URL USER DIRECTORY: logs in to horizon in a headless Chromium, with the password from standard input.

Pictures of the login page and of what comes after it are left in the directory.
"""

import pathlib
import sys

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait

# Seconds for one page: the first one of a new horizon is slow.
PATIENCE = 120


def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for option in ("--headless=new", "--no-sandbox", "--window-size=1280,800", "--disable-dev-shm-usage"):
        options.add_argument(option)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))


def main(url, user, directory):
    password = sys.stdin.readline().strip()
    pictures = pathlib.Path(directory)
    pictures.mkdir(parents=True, exist_ok=True)
    with browser() as page:
        page.set_page_load_timeout(PATIENCE)
        page.get(f"{url}/auth/login/")
        WebDriverWait(page, PATIENCE).until(expected_conditions.element_to_be_clickable((By.ID, "loginBtn")))
        page.save_screenshot(pictures / "login.png")
        page.find_element(By.ID, "id_username").send_keys(user)
        page.find_element(By.ID, "id_password").send_keys(password)
        page.find_element(By.ID, "loginBtn").click()
        WebDriverWait(page, PATIENCE).until(lambda page: "/auth/login" not in page.current_url)
        page.get(f"{url}/project/instances/")
        row = (By.XPATH, "//*[contains(text(), 'cloud-test')]")
        WebDriverWait(page, PATIENCE).until(expected_conditions.presence_of_element_located(row))
        page.save_screenshot(pictures / "instances.png")
        print(f"horizon: logged in, {page.title!r} shows the machine", file=sys.stderr)


main(*sys.argv[1:])
