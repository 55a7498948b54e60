/* The smallest program: tells whether a compiler can link with the options given. */
int main(void)
{
    return 0;
}
